"""What a campaign costs and how far it is: the parts of pipeline.plan. None of them imports torch."""
