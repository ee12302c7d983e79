"""The folder to copy to a board and start: cross-compiled by zig on any desktop, together with the files of device.

May import: scenes, deploy, emit, codegen, compiled, vision, toolchain, models, data, folders, files, randomness,
tabular, notify, errors, device.
"""
