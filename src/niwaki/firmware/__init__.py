"""Projects for microcontrollers, boards at a serial port, costs.

Both ends of the serial line are here, and what a network costs on the boards of `boards.toml`.
`templates/` has a folder for each kind of project, and `common/`, which all have.
May import: deploy, codegen, training, measure, models, data, folders, files, tabular, notify, errors.
"""
