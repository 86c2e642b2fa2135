"""What Gradio remembers of each tab. By itself it forgets none before there are thousands."""

import gradio as gr


class Memory:
    """Gradio's notes of the tabs of a page."""

    def __init__(self, blocks: gr.Blocks) -> None:
        self.blocks = blocks

    def listens(self, name: str) -> bool:
        """Whether there is a line for the messages of a tab's events."""
        return name in self.blocks._queue.pending_messages_per_session

    def forget(self, name: str) -> None:
        """Drop what is noted of a tab that has gone."""
        holder = self.blocks.state_holder
        for notes in (holder.session_data, holder.time_last_used):
            notes.pop(name, None)
