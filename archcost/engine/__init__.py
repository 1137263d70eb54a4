"""Running a graph: lowered to a program of kernel calls on buffers that are planned ahead."""
