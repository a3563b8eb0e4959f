"""Images, from an archive to a batch."""
