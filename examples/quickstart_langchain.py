"""Rerank documents with LangChain."""

from langchain_core.documents import Document

from laterank.langchain import ColbertRerank

documents = [
    Document("The refund of the deposit was discussed at the meeting."),
    Document("Our warehouse sends back parcels that nobody picks up."),
    Document("You can return any item within 30 days for a full refund."),
    Document("Opening hours are 9 to 17 on weekdays."),
]
reranker = ColbertRerank(top_n=2)
for document in reranker.compress_documents(documents, "How do I get my money back?"):
    print(f"{document.metadata['relevance_score']:.2f}  {document.page_content}")
