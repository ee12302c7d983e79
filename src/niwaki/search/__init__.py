"""The best network within a budget: what candidates cost before training, which are tried, and what comes out.

May import: study, deploy, emit, codegen, compiled, toolchain, training, measure, models, data, tabular, folders, files,
notify, errors, device.
"""
