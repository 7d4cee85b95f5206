"""Ray: bulk encoding, collections in shards, and search over shards as a Ray Serve application.

```python
import ray
from latelite.integrations.ray import encode, write_shards

documents = ray.data.read_parquet("texts/")                              # columns id, text, ...
encode(documents, "models/default-onnx", workers=8).write_parquet("vectors/")
write_shards(documents, "shards/", "models/default-onnx", shards=4, workers=8, metadata=["year"])
```

`latelite.integrations.shards.Shards.open("shards/")` searches them in one process,
`latelite.integrations.ray.serving.application("shards/")` in as many as there are shards.
"""

from latelite.integrations.ray.encoding import Encode, encode
from latelite.integrations.ray.exporting import export_shards
from latelite.integrations.ray.writing import Written, write_shards

__all__ = ["Encode", "Written", "encode", "export_shards", "write_shards"]
