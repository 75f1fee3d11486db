"""Non-local blocks (Wang et al. 2018): every position of a clip's map sees the others."""

from __future__ import annotations

from torch import Tensor, nn

from stadkit.layers.conv import Conv3d


class NonLocal(nn.Module):
    """[B, D, T, h, w], same out: every position sees all others (Wang et al. 2018, dot product).

    Keys and values are halved in time, height and width by a max pool, before their
    convolutions ("pool-first", PySlowFast) or after ("conv-first", same weights).
    """

    def __init__(self, channels: int, order: str) -> None:
        super().__init__()
        inner = channels // 2
        self.order = order
        self.conv_theta = Conv3d(channels, inner, 1)
        self.conv_phi = Conv3d(channels, inner, 1)
        self.conv_g = Conv3d(channels, inner, 1)
        self.conv_out = Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        query = self.conv_theta(x).flatten(2)  # [B, D, N]
        if self.order == "pool-first":
            small = self.pool(x)
            key, value = self.conv_phi(small), self.conv_g(small)
        else:
            key, value = self.pool(self.conv_phi(x)), self.pool(self.conv_g(x))
        key, value = key.flatten(2), value.flatten(2)  # [B, D, M]
        affinity = query.transpose(1, 2) @ key / key.shape[2]  # [B, N, M]
        seen = value @ affinity.transpose(1, 2)  # [B, D, N]
        return x + self.bn(self.conv_out(seen.unflatten(2, x.shape[2:])))  # type: ignore[no-any-return]


class GaussianNonLocal(nn.Module):
    """[B, D, T, h, w], same out: MMAction2's kind, the embedded Gaussian.

    Affinities are softmaxed and scaled by 1 / sqrt(inner channels); keys and values are halved in
    height and width, not in time, after their convolutions; `conv_out` has no bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.conv_theta = Conv3d(channels, inner, 1)
        self.conv_phi = Conv3d(channels, inner, 1)
        self.conv_g = Conv3d(channels, inner, 1)
        self.conv_out = Conv3d(inner, channels, 1, bias=False)
        self.bn = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d((1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        query = self.conv_theta(x).flatten(2)  # [B, D, N]
        key = self.pool(self.conv_phi(x)).flatten(2)  # [B, D, M]
        value = self.pool(self.conv_g(x)).flatten(2)  # [B, D, M]
        affinity = (query.transpose(1, 2) @ key / query.shape[1] ** 0.5).softmax(2)  # [B, N, M]
        seen = value @ affinity.transpose(1, 2)  # [B, D, N]
        return x + self.bn(self.conv_out(seen.unflatten(2, x.shape[2:])))  # type: ignore[no-any-return]
