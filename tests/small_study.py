"""A study that trains for seconds on the images of `small_npz`, without its title and experiments: fill in `{data}`."""

HEAD = """
[model]
factory = "lenet5"
args = {{ num_classes = 4, image_size = 16, widths = [3, 6, 16, 12] }}

[data]
name = "npz"
path = "{data}"
validation = 60
preprocessing = {{ size = [16, 16] }}

[train]
epochs = 2
batch_size = 20
lr = 1e-2

[prune]
ratio = 0.5
steps = 2

[finetune]
epochs = 1
lr = 3e-3
"""
