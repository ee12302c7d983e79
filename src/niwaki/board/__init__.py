"""The folder that is copied to a board and started: library, program, runner, words, self-test, instructions.

Cross-compiled from any desk with zig. May import the rest of deploy, the layers below it, and device, whose files it
copies.
"""
