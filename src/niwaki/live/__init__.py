"""The part of the report in which the chosen model runs: its generated C as WebAssembly, fed by clicks and camera.

May import: study, deploy, codegen, compiled, vision, toolchain, data, folders, notify, errors.
"""
