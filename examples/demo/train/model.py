"""The demo's model: GLM-OCR's architecture, tiny, and a wrapper that trains it quickly.

The wrapper runs Hugging Face's own modules; only the parts around them are
shortened for batches of grey pictures of one size:

* The patch embedding is one 196-input linear while training. It is exported
  exactly into the 3 x 2 x 14 x 14 convolution of the checkpoint, because the
  three channels and two frames of a grey still picture are affine copies.
* Two auxiliary heads read characters from the vision tower, which teaches it
  to see long before the decoder has learnt to look. They are not exported.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GlmOcrConfig, GlmOcrForConditionalGeneration
from transformers.models.glm_ocr.modeling_glm_ocr import rotate_half
from transformers.vision_utils import get_vision_position_ids

from make_tokenizer import SPECIAL_TOKENS, build_tokenizer

WIDTH = 192
PATCH = 14
PROMPT_BEFORE = "[gMASK]<sop><|user|>\n<|begin_of_image|>"
PROMPT_AFTER = "<|end_of_image|>Text Recognition:<|assistant|>\n"
MAX_TEXT = 96

IMAGE_MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
IMAGE_STD = np.array([0.26862954, 0.26130258, 0.27577711])
GREY_CENTRE, GREY_SCALE = 0.85, 2.0  # light ground is near zero, ink positive

# Auxiliary labels: classes are 0 = nothing, 1.. = printable ASCII.
CHARACTERS = "".join(chr(code) for code in range(32, 127))
CLASSES = len(CHARACTERS) + 1
SLOTS = 6  # characters listed for each 28 x 28 cell
INDICES = 32  # position in the line of a cell's first character
COLUMNS = 4  # labels across a 14-pixel patch, one every 3.5 pixels
IGNORE = -100

tokenizer = build_tokenizer()
TOKEN = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
BEFORE_IDS = tokenizer.encode(PROMPT_BEFORE).ids
AFTER_IDS = tokenizer.encode(PROMPT_AFTER).ids
END_IDS = [TOKEN["<|endoftext|>"], TOKEN["<|user|>"]]


def build_config() -> GlmOcrConfig:
    """About 4 M parameters in the shape of the released GLM-OCR."""
    text = dict(
        vocab_size=(tokenizer.get_vocab_size() + 31) // 32 * 32,
        hidden_size=WIDTH,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        pad_token_id=TOKEN["<|endoftext|>"],
        eos_token_id=END_IDS,
        # M-RoPE gives the width axis the lowest frequencies; with the usual
        # theta of 10000 neighbouring tokens of a small picture look the same.
        rope_parameters=dict(
            rope_type="default", rope_theta=10.0, mrope_section=[8, 12, 12], partial_rotary_factor=1.0
        ),
    )
    vision = dict(
        depth=4,
        hidden_size=WIDTH,
        num_heads=3,
        intermediate_size=512,
        out_hidden_size=WIDTH,
        patch_size=PATCH,
        image_size=336,
        spatial_merge_size=2,
        temporal_patch_size=2,
        attention_bias=True,
    )
    return GlmOcrConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=TOKEN["<|image|>"],
        video_token_id=TOKEN["<|video|>"],
        image_start_token_id=TOKEN["<|begin_of_image|>"],
        image_end_token_id=TOKEN["<|end_of_image|>"],
        video_start_token_id=TOKEN["<|begin_of_video|>"],
        video_end_token_id=TOKEN["<|end_of_video|>"],
    )


def initialise(model: nn.Module) -> None:
    """Scales that suit the four-norm decoder: without them the pace halves."""
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.data.zero_()
        elif "embed_tokens" in name:
            parameter.data.normal_(0, 0.5)
        elif "norm" in name:
            after = "post_self_attn" in name or "post_mlp" in name
            parameter.data.fill_(0.2 if after else 1.0)
        elif parameter.ndim >= 2:
            scale = 1 / math.sqrt(parameter[0].numel())
            if ".blocks." in name and name.endswith(("attn.proj.weight", "down_proj.weight")):
                scale *= 0.5
            parameter.data.normal_(0, scale)


class Reader(nn.Module):
    """The Hugging Face model with the training-only parts around it."""

    def __init__(self):
        super().__init__()
        self.model = GlmOcrForConditionalGeneration(build_config())
        initialise(self.model)
        self.patches = nn.Linear(PATCH * PATCH, WIDTH)
        self.cells = nn.Linear(WIDTH, SLOTS * CLASSES + INDICES)
        self.columns = nn.Linear(WIDTH, COLUMNS * CLASSES)
        for linear, scale in ((self.patches, 1 / PATCH), (self.cells, 0.02), (self.columns, 0.02)):
            nn.init.normal_(linear.weight, 0, scale)
            nn.init.zeros_(linear.bias)
        self.positions = {}

    def trainable(self):
        """Named parameters; the convolution stands still, `patches` learns in its place."""
        return [(name, p) for name, p in self.named_parameters() if "patch_embed" not in name]

    def grid(self, rows: int, columns: int):
        """Rotary tables of the tower and M-RoPE positions of the prompt for one patch grid."""
        if (rows, columns) not in self.positions:
            grid = torch.tensor([[1, rows, columns]])
            visual = self.model.model.visual
            cos, sin = visual.rotary_pos_emb(torch.zeros(1), get_vision_position_ids(grid, 2))
            count = rows * columns // 4
            ids = torch.tensor([BEFORE_IDS + [TOKEN["<|image|>"]] * count + AFTER_IDS + [0] * MAX_TEXT])
            types = torch.zeros_like(ids)
            types[:, len(BEFORE_IDS) : len(BEFORE_IDS) + count] = 1
            index = self.model.model.get_rope_index(ids, mm_token_type_ids=types, image_grid_thw=grid)[0]
            self.positions[(rows, columns)] = (cos[None, None], sin[None, None], index)
        return self.positions[(rows, columns)]

    def attend(self, attention: nn.Module, hidden, cos, sin):
        """Attention of one vision block for equal pictures (batch x patches x width)."""
        batch, length, _ = hidden.shape
        qkv = attention.qkv(hidden).view(batch, length, 3, attention.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = attention.q_norm(query), attention.k_norm(key)
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        mixed = F.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value)
        return attention.proj(mixed.transpose(1, 2).reshape(batch, length, -1))

    def see(self, grey, rows: int, columns: int):
        """Grey patches in merge-block order -> (patch states, merged image tokens)."""
        visual = self.model.model.visual
        cos, sin, _ = self.grid(rows, columns)
        grey = grey.float().view(-1, rows * columns, PATCH * PATCH)
        hidden = self.patches((GREY_CENTRE - grey / 255) * GREY_SCALE)
        for block in visual.blocks:
            hidden = hidden + self.attend(block.attn, block.norm1(hidden), cos, sin)
            hidden = hidden + block.mlp(block.norm2(hidden))
        hidden = visual.post_layernorm(hidden).reshape(-1, 4, WIDTH)
        weight = visual.downsample.weight.permute(0, 2, 3, 1).reshape(WIDTH, -1)
        merged = F.linear(hidden.reshape(hidden.shape[0], -1), weight, visual.downsample.bias)
        return hidden, visual.merger(merged)

    def auxiliary_loss(self, hidden, tokens, labels):
        """Characters of each cell, line position of its first one, characters of each column."""
        slots, first, columns = labels
        column_logits = self.columns(hidden.reshape(-1, WIDTH)).float().view(-1, COLUMNS, CLASSES)
        loss = F.cross_entropy(column_logits.transpose(1, 2), columns, ignore_index=IGNORE)
        output = self.cells(tokens).float()
        slot_logits = output[:, : SLOTS * CLASSES].view(-1, SLOTS, CLASSES)
        asked = torch.cat([torch.ones_like(slots[:, :1]), slots[:, :-1]], 1) > 0  # up to the first empty slot
        loss = loss + F.cross_entropy(slot_logits[asked], slots[asked])
        known = first >= 0
        loss = loss + 0.3 * F.cross_entropy(output[:, SLOTS * CLASSES :][known], first[known])
        right = (slot_logits.argmax(-1) == slots)[slots > 0].float().mean().item()
        return loss, right

    def text_loss(self, tokens, rows: int, columns: int, target):
        """Cross-entropy of the transcription after the prompt of the demo."""
        language = self.model.model.language_model
        embed = language.embed_tokens
        batch = target.shape[0]
        parts = [
            embed(torch.tensor(BEFORE_IDS)).expand(batch, -1, -1),
            tokens.float().view(batch, -1, WIDTH),
            embed(torch.tensor(AFTER_IDS)).expand(batch, -1, -1),
            embed(target[:, :-1].clamp(min=0)),
        ]
        inputs = torch.cat(parts, 1)
        index = self.grid(rows, columns)[2][:, :, : inputs.shape[1]].expand(-1, batch, -1)
        output = language(inputs_embeds=inputs, position_ids=index, use_cache=False).last_hidden_state
        known = target != IGNORE
        logits = self.model.lm_head(output[:, -target.shape[1] :][known]).float()
        right = (logits.argmax(-1) == target[known]).float().mean().item()
        return F.cross_entropy(logits, target[known]), right

    @torch.no_grad()
    def balance(self, grey, rows: int, columns: int) -> None:
        """Brings fresh image tokens to the scale of the text embeddings (rms 0.5)."""
        _, tokens = self.see(grey, rows, columns)
        self.model.model.visual.merger.down_proj.weight.mul_(0.5 / tokens.pow(2).mean().sqrt())

    @torch.no_grad()
    def write_convolution(self) -> None:
        """Spreads the grey patch embedding over the checkpoint's convolution."""
        convolution = self.model.model.visual.patch_embed.proj
        weight = self.patches.weight * -GREY_SCALE  # per unit of grey/255
        scale = torch.tensor(IMAGE_STD, dtype=weight.dtype).view(1, 3, 1, 1, 1) / 6
        convolution.weight.copy_((weight.view(-1, 1, 1, PATCH, PATCH) * scale).expand_as(convolution.weight))
        convolution.bias.copy_(self.patches.bias - weight.sum(1) * (GREY_CENTRE - IMAGE_MEAN.mean()))

    @torch.no_grad()
    def read_convolution(self) -> None:
        """The inverse of `write_convolution`."""
        convolution = self.model.model.visual.patch_embed.proj
        weight = convolution.weight.double().sum((1, 2)).reshape(WIDTH, -1) * 3 / IMAGE_STD.sum()
        self.patches.weight.copy_(weight / -GREY_SCALE)
        self.patches.bias.copy_(convolution.bias + weight.sum(1) * (GREY_CENTRE - IMAGE_MEAN.mean()))
