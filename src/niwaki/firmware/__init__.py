"""Projects for microcontrollers, boards at a serial port, costs.

Both ends of the line; `boards.toml`; `templates/` has a folder for each kind of project, and `common/`, which all have.
May import: deploy, emit, codegen, vision, training, measure, models, data, folders, files, tabular, notify, errors.
"""
