"""Writes a GGUF model with all weights as float32: `python bench/peers/widen_gguf.py OUT.gguf MODEL.gguf [PART.gguf ...]`.

For llama.cpp as a judge: with weights of fewer bits it rounds activations to theirs, with float32 it does not. Values are
those that the gguf package reads. Keys are the file's.
"""

import sys

import gguf
import numpy as np

out, *parts = sys.argv[1:]
readers = [gguf.GGUFReader(part) for part in parts]
fields = readers[0].fields
writer = gguf.GGUFWriter(out, fields["general.architecture"].contents())
for name, field in fields.items():
    if name in ("general.architecture", "general.file_type") or name.startswith(("GGUF.", "split.")):
        continue
    kind, inner = field.types[0], field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
    writer.add_key_value(name, field.contents(), kind, inner)
writer.add_file_type(gguf.LlamaFileType.ALL_F32)
for reader in readers:
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, np.ascontiguousarray(values.reshape([int(size) for size in reversed(tensor.shape)])))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
