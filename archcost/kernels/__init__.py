"""The numeric half of the operators: forward and backward on arrays in the engine's blocked layout.

Files are named as those of ``archcost.ops``. Numba is imported only here and in ``archcost.reference``.
"""
