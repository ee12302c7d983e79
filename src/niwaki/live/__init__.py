"""The part of the report that runs the chosen model: its generated C as WebAssembly, with test images, files and
camera.

May import: study, deploy, codegen, compiled, vision, toolchain, data, folders, notify, errors.
"""
