"""ONNX files in and out; the ``onnx`` package is imported in here alone, when a file is read or written."""
