"""A minimal baseline service: FastAPI around sentence-transformers. Runs in the peers' environment.

Start it with `MODEL=FOLDER THREADS=2 uvicorn bench.load.fastapi_service:app`.
"""

import os
from typing import Annotated

import torch
from fastapi import Body, FastAPI
from sentence_transformers import SentenceTransformer

torch.set_num_threads(int(os.environ["THREADS"]))
model = SentenceTransformer(os.environ["MODEL"], device="cpu")
app = FastAPI()


def embed(text: Annotated[str, Body(embed=True)]) -> dict[str, list[float]]:
    """Return the vector of one text; FastAPI runs this in its thread pool."""
    return {"embedding": model.encode(text, normalize_embeddings=True).tolist()}


app.post("/embed")(embed)
