"""Projects for microcontrollers that compile and flash as they are, and the board's end and ours of the serial line.

`templates/` has a folder for each kind of project, and `common/`, which all have.
May import: deploy, codegen, data, folders, files, notify, errors.
"""
