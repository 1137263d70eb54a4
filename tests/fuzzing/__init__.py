"""Damaged and hostile files: whatever a file holds, the answer is a result or one clear line, soon, in little memory.

python -m tests.fuzzing [--cases 20000] [--seconds S] [--seed 0] [--kinds onnx,json,...] [--keep FOLDER]
"""
