"""How long will a campaign take, how fast is this machine, is a training on course?"""
