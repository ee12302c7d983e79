"""The folder that is copied to a board and started: library, program, runner, words, self-test, instructions.

Cross-compiled from any desk with zig; the files of device go along.
May import: scenes, deploy, codegen, vision, toolchain, models, data, folders, files, randomness, errors, device.
"""
