"""Pure functions of tensors, arrays and files, and the small contracts that several rooms share.

Nothing here knows a flag, opens a session or fixes a path.
"""
