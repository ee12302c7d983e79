"""The folder that is copied to a board and started: cross-compiled from any desk with zig, the files of device with it.

May import: scenes, deploy, codegen, compiled, vision, toolchain, models, data, folders, files, randomness, tabular,
notify, errors, device.
"""
