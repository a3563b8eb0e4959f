"""The methods that are trained and compared, one file each, found by its name.

A method has TITLE, Options (a frozen pydantic model), label(options), build(backbone, options) -> network, and
loss(output, target, options). Importing one imports no torch: the declaration is read without it.
"""
