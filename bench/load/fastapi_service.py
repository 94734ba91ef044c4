"""The service that a team writes in an afternoon: FastAPI around sentence-transformers. In the peers' environment.

Run it with uvicorn: `MODEL=FOLDER THREADS=2 uvicorn bench.load.fastapi_service:app`.
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
    """Answer one text with its vector; FastAPI calls this on one of its threads."""
    return {"embedding": model.encode(text, normalize_embeddings=True).tolist()}


app.post("/embed")(embed)
