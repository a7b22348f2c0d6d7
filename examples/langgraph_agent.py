"""An agent in LangGraph whose search reranks, and whose conversation survives in a checkpointer."""

import asyncio
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition
from lsa import LatentSemanticAnalysis
from papers import abstracts, print_places, question

from laterank.langchain import ColbertRerank


class Vectors(LatentSemanticAnalysis, Embeddings):
    """The examples' vectors, as LangChain takes them; your embedding model stands here."""


documents = [Document(id=paper["id"], page_content=paper["text"]) for paper in abstracts()]
store = InMemoryVectorStore(Vectors([document.page_content for document in documents]))
store.add_documents(documents)
reranker = ColbertRerank(top_n=3, long_documents="windows")


class State(MessagesState):
    """A conversation, and what the last search found.

    Documents under a key of their own come back as documents; in a ``ToolMessage``'s artifact, as dictionaries.
    """

    sources: list[Document]


def model(state: State) -> dict[str, Any]:
    """Stand in for a chat model with tools: search for what was asked, then quote the first source."""
    last = state["messages"][-1]
    if isinstance(last, ToolMessage):
        return {"messages": [AIMessage(f"PubMed {state['sources'][0].id}: {last.text[:70]}...")]}
    call = {"name": "search", "args": {"query": last.text}, "id": f"call-{len(state['messages'])}"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


async def search(state: State) -> dict[str, Any]:
    """Retrieve 20 abstracts and keep the best 3; the event loop goes on meanwhile."""
    [call] = state["messages"][-1].tool_calls
    found = await store.asimilarity_search(call["args"]["query"], k=20)
    sources = list(await reranker.acompress_documents(found, call["args"]["query"]))
    text = "\n\n".join(source.page_content for source in sources)
    return {"messages": [ToolMessage(text, tool_call_id=call["id"])], "sources": sources}


def agent(checkpointer: InMemorySaver) -> Any:
    """Wire the model and its search into a loop."""
    graph = StateGraph(State)
    graph.add_node("model", model)
    graph.add_node("search", search)
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition, {"tools": "search", END: END})
    graph.add_edge("search", "model")
    return graph.compile(checkpointer=checkpointer)


async def main() -> None:
    """Ask two questions in one conversation, and read its state back after each."""
    saver = InMemorySaver()  # it keeps bytes, as SqliteSaver and PostgresSaver do on a disk
    conversation: Any = {"configurable": {"thread_id": "reader"}}
    for asked in (question("15466981"), question("15095519")):
        await agent(saver).ainvoke({"messages": [HumanMessage(asked["text"])]}, conversation)

        state = (await agent(saver).aget_state(conversation)).values  # of an agent that was made anew
        before = await store.asimilarity_search(asked["text"], k=20)
        print_places(asked, [document.id for document in before], [source.id for source in state["sources"]])
        print(f"  {state['messages'][-1].text}")
        score = state["sources"][0].metadata["relevance_score"]
        print(f"  kept: {len(state['messages'])} messages, sources with a {type(score).__name__} as score")


if __name__ == "__main__":
    asyncio.run(main())
