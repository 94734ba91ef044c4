"""The route table, from which the application and the OpenAPI document are generated."""

from server.api import about, handlers
from server.api.dialects import cohere, embed, openai, similarity, tokens
from server.api.handlers import Handler
from server.api.operation import Operation

ROUTES: tuple[tuple[Operation, Handler], ...] = (
    (embed.OPERATION, handlers.vectors(embed.parse, embed.render)),
    (embed.AT_BASE, handlers.vectors(embed.parse, embed.render)),
    (openai.OPERATION, handlers.vectors(openai.parse, openai.render)),
    (cohere.OPERATION, handlers.vectors(cohere.parse, cohere.render)),
    (cohere.VERSION_1, handlers.vectors(cohere.parse_v1, cohere.render)),
    (openai.LIST_MODELS, handlers.models),
    (openai.RETRIEVE_MODEL, handlers.model),
    (similarity.OPERATION, handlers.vectors(similarity.parse, similarity.render)),
    (tokens.OPERATION, handlers.tokenize),
    (about.INFO, about.info),
    (about.HEALTH, about.health),
    (about.READY, about.ready),
    (about.METRICS, about.show_metrics),
    (about.DOCUMENT, about.show_document),
    (about.DOCS, about.show_docs),
    (about.INDEX, about.show_index),
)
# Other paths of these routes; one that ends in a slash is the beginning of a path. They are not in the document.
ALIASES = {
    "/embeddings": "/v1/embeddings",
    "/models": "/v1/models",
    "/models/": "/v1/models/",
    "/healthz": "/health",
}
