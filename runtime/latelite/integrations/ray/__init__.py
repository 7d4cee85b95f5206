"""Ray: bulk encoding, collections in shards, and search over shards as a Ray Serve application.

```python
import ray
from latelite.integrations.ray import encode, write_shards

documents = ray.data.read_parquet("/data/texts")  # columns id, text, ...; Ray's workers need absolute paths
encode(documents, "models/default-onnx", workers=8).write_parquet("/data/vectors")
write_shards(documents, "/data/shards", "models/default-onnx", shards=4, workers=8, metadata=["year"])
```

`latelite.integrations.shards.Shards.open("/data/shards")` searches them in one process,
`latelite.integrations.ray.serving.application("/data/shards")` in as many as there are shards.
"""

from latelite.integrations.ray.encoding import Encode, encode
from latelite.integrations.ray.exporting import export_shards
from latelite.integrations.ray.writing import Written, write_shards

__all__ = ["Encode", "Written", "encode", "export_shards", "write_shards"]
