"""The tools: a file for each kind of thing, and the one list of what is published and how it behaves."""

from mcp_orchestrator.server.lean import LeanTool, lean
from mcp_orchestrator.server.page import ADDRESS
from mcp_orchestrator.server.scopes import moves_alias
from mcp_orchestrator.server.tools import components, data, memory, messages, models, runs, state, tasks, workflows

__all__ = ["published"]


def published() -> list[LeanTool]:
    """Return all tools in the order in which they are listed."""
    return [
        lean(state.initialize_orchestrator, "Initialize", repeatable=True, entry=True),
        lean(state.get_orchestrator_status, "Status", reads=True, hint="orchestrator state, runs at work, workers"),
        lean(data.inspect_dataset, "Inspect data", repeatable=True, entry=True),
        lean(workflows.run_ml_training_workflow, "Train a model", keyed=True, entry=True, page=ADDRESS),
        lean(
            workflows.run_ml_evaluation_workflow,
            "Evaluate a model",
            keyed=True,
            hint="test a model on new data, compare two models, drift, calibration",
            page=ADDRESS,
        ),
        lean(
            workflows.run_workflow,
            "Run a workflow",
            destroys=True,
            keyed=True,
            promotes=moves_alias,
            hint="a pipeline of one's own: graph of components, conditions, loops, approvals; templates",
            page=ADDRESS,
        ),
        lean(runs.get_run, "Wait for a run", reads=True, entry=True, page=ADDRESS),
        lean(runs.list_runs, "List runs", reads=True, hint="history of trainings and evaluations"),
        lean(runs.control_run, "Control a run", destroys=True, hint="cancel, pause or resume a run"),
        lean(
            components.invoke_ml_component,
            "Call a component",
            destroys=True,
            promotes=moves_alias,
            hint="statistics, tuning, registry, validation: one step alone",
        ),
        lean(
            components.find_ml_components,
            "Find components",
            reads=True,
            hint="which ML components, workflows and templates exist, schemas",
        ),
        lean(models.find_models, "Find models", reads=True, hint="registered models, versions, aliases, metrics"),
        lean(models.predict, "Predict", reads=True, hint="predict, score or classify records with a model"),
        lean(memory.recall_memory, "Recall", reads=True, hint="what agents and runs of this project learned before"),
        lean(memory.remember, "Remember", keyed=True, hint="keep an insight, decision, fact; say what helped"),
        lean(tasks.log_task, "Log a task", keyed=True, hint="start, progress, finish, delegate a task; task history"),
        lean(memory.share_context, "Share context", keyed=True, hint="phase, objectives, baselines of all agents"),
        lean(messages.send_message, "Send a message", keyed=True, hint="tell, ask or answer other agents"),
        lean(messages.read_messages, "Read messages", keyed=True, hint="inbox, claim work, acknowledge"),
    ]
