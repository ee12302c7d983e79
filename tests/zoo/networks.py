"""The networks of the zoo: what builds each, and the shape of its images."""

from __future__ import annotations

from dataclasses import dataclass, field

COLOUR, GREY = (3, 32, 32), (1, 32, 32)


@dataclass(frozen=True)
class Animal:
    """A network: `module:callable`, its arguments, and its images (C, H, W)."""

    factory: str
    shape: tuple[int, int, int] = COLOUR
    args: dict[str, bool | int] = field(default_factory=dict)


NETWORKS: dict[str, Animal] = {
    "ResNet-8": Animal("zoo.residual:resnet8"),
    "ResNet-18": Animal("zoo.residual:resnet18", (3, 64, 64)),
    "ResNet-20 (option A)": Animal("zoo.residual:resnet20"),
    "ResNet-10-T": Animal("zoo.residual:resnet10t", (3, 64, 64)),
    "PreAct-ResNet": Animal("zoo.residual:preact_resnet"),
    "MobileNetV1": Animal("zoo.mobile:mobilenet_v1", (3, 64, 64)),
    "MobileNetV2": Animal("zoo.mobile:mobilenet_v2", (3, 64, 64)),
    "MobileNetV3 small": Animal("zoo.mobile:mobilenet_v3", (3, 64, 64)),
    "MobileNetV3 large": Animal("zoo.mobile:mobilenet_v3", (3, 64, 64), {"large": True}),
    "MobileNetV4": Animal("zoo.mobile:mobilenet_v4", (3, 64, 64)),
    "MCUNet (ReLU6)": Animal("zoo.mobile:mcunet", (3, 64, 64)),
    "MCUNet (SiLU)": Animal("zoo.mobile:mcunet", (3, 64, 64), {"smooth": True}),
    "EfficientNet-B0": Animal("zoo.mobile:efficientnet_b0", (3, 64, 64)),
    "EfficientNet-lite0": Animal("zoo.mobile:efficientnet_lite0", (3, 64, 64)),
    "TinyNet": Animal("zoo.mobile:tinynet", (3, 64, 64)),
    "LCNet": Animal("zoo.mobile:lcnet", (3, 64, 64)),
    "GhostNet": Animal("zoo.mobile:ghostnet", (3, 64, 64)),
    "DS-CNN": Animal("zoo.mobile:ds_cnn", (1, 49, 10)),
    "SqueezeNet": Animal("zoo.mobile:squeezenet", (3, 64, 64)),
    "Inception": Animal("zoo.plain:inception"),
    "DenseNet": Animal("zoo.plain:densenet"),
    "RegNetX": Animal("zoo.residual:regnet_x", (3, 64, 64)),
    "RepVGG": Animal("zoo.residual:repvgg", (3, 64, 64)),
    "ShuffleNetV2": Animal("zoo.mobile:shufflenet_v2", (3, 64, 64)),
    "ConvNeXt-atto": Animal("zoo.tokens:convnext_atto", (3, 64, 64)),
    "ConvMixer": Animal("zoo.tokens:convmixer"),
    "MLP": Animal("zoo.plain:mlp"),
    "MLP-Mixer": Animal("zoo.tokens:Mixer"),
    "ViT (nn.MultiheadAttention)": Animal("zoo.tokens:Transformer"),
    "ViT (own attention)": Animal("zoo.tokens:Transformer", args={"own": True}),
    "VGG-BN": Animal("zoo.plain:vgg"),
    "NiN": Animal("zoo.plain:nin"),
    "Sequential": Animal("zoo.plain:sequential"),
    "Conv1d": Animal("zoo.plain:Lines", (3, 16, 32)),
    "LeNet-5 of 1998": Animal("zoo.plain:lenet_1998", GREY),
    "LeNet with sigmoid": Animal("zoo.plain:lenet_sigmoid", (1, 28, 28)),
}
MORE: dict[str, Animal] = {
    "ResNeXt": Animal("zoo.residual:resnext"),
    "SE-ResNet": Animal("zoo.residual:se_resnet"),
    "PoolFormer": Animal("zoo.tokens:poolformer", (3, 64, 64)),
    "MobileViT": Animal("zoo.tokens:mobilevit"),
}
ALL = {**NETWORKS, **MORE}
