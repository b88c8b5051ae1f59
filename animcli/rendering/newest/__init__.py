"""Renderers whose networks are those of diffusers; the denoising loops are animcli's."""
