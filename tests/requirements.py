"""Every behaviour that the mission asks for: an id, the document and section it comes from, and one sentence.

A test that proves a row carries ``@pytest.mark.requirement("id")``; ``test_requirements.py`` fails on a row that no
test proves and on a test that names no row. What is not built yet is listed in ``unbuilt.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.fifty import FIFTY

__all__ = ["REQUIREMENTS", "Requirement"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A behaviour, and where it was asked for."""

    id: str
    source: str
    sentence: str


# fmt: off
_ROWS: dict[str, dict[str, str]] = {
    "mission: design card": {
        "card.server": "An MCP server publishes the tools of an embedded orchestrator to AI agents.",
        "card.layout": "pyproject.toml, README.md, server.json and the folders of the card stand at the top.",
        "card.memory": "A store on SQLite holds the agents' task history and collaboration messages.",
        "card.sqlmodel": "The tables of the memory store are SQLModel classes, and these are its only schema.",
        "card.inspector": "The protocol's inspector lists and calls the tools.",
        "card.subagents": "Agents' definitions come with the server and name tools that it has.",
    },
    "workflow-guide: build_ml_pipeline()": {
        "pipeline.build": "build_ml_pipeline() returns an unfitted scikit-learn pipeline of two named steps.",
        "pipeline.checked": "Feature specifications that are no list of them, or an unknown model, are refused.",
        "pipeline.predicts": "The pipeline fits, transforms and predicts through one interface.",
    },
    "workflow-guide: run_ml_workflow()": {
        "workflow.parameters": "run_ml_workflow() takes the documented parameters, most of them optional.",
        "workflow.no_data": "Without data and without a feature store it fails with an error that says so.",
        "workflow.order": "The steps run in an order in which nothing that is fitted or chosen has seen the test part.",
        "workflow.results": "The result carries pipeline, scores, strategy, summaries and tracking ids.",
        "workflow.random_state": "The same random_state gives the same figures twice.",
        "workflow.test_set": "A test set given apart is predicted once and its scores are reported.",
        "workflow.stateless": "A call depends on its arguments alone and needs no server.",
        "workflow.logged": "Each step leaves a record when it starts and when it ends.",
    },
    "workflow-guide: Phase 3, Parameter Tuning": {
        "tuning.grid": "Grid search tries every combination and keeps the best by the metric.",
        "tuning.random": "Random search tries as many draws as asked for.",
        "tuning.bayesian": "Bayesian search learns from its trials and stops at its budget.",
        "tuning.summary": "The best parameters, the best score and every trial are in the result.",
        "tuning.fails": "Tuning that fails leaves the untuned model standing, and the result says so.",
    },
    "workflow-guide: Phase 5, Calibration": {
        "calibration.methods": "Sigmoid, isotonic and temperature scaling bring probabilities nearer to frequencies.",
        "calibration.held_out": "Calibrators are fitted on predictions for rows that the model was not fitted on.",
        "calibration.fails": "Calibration that fails leaves the model standing, and the result says so.",
    },
    "workflow-guide: Phase 6, Validation": {
        "validation.folds": "Cross-validation reports the mean and the spread of the folds' scores.",
        "validation.split": "A train-test split reports the score of the part that was held out.",
        "validation.none": "Validation can be left out, and the result says so.",
        "validation.groups": "Rows of one group stay on one side of every split, and time never runs backwards.",
    },
    "workflow-guide: Phase 8, MLflow Logging": {
        "tracking.run": "Parameters, metrics, plots, signature and model are in one finished run, the trials below it.",
        "tracking.register": "The model is registered when a name is given.",
        "tracking.compare": "Runs are compared by their parameters and figures.",
        "tracking.off": "Tracking can be switched off; a tracker that fails does not lose the model.",
        "tracking.page": "A command opens the tracker's own page on the project's runs.",
    },
    "workflow-guide: Integration Points": {
        "features.store": "Training data come from a feature store in place of a table, point in time correct.",
        "features.same_path": "Nothing after the loading differs between feature store and table.",
    },
    "workflow-guide: Custom Validation Metrics": {
        "metrics.requested": "Every requested metric is reported, with a 95 % interval.",
        "metrics.unfit": "A metric that does not fit the task, or that nobody knows, is refused with the allowed ones.",
    },
    "workflow-guide: Workflow Customization": {
        "custom.graph": "A workflow of one's own is put together from components, checked whole before it starts.",
        "custom.function": "A workflow of one's own is written as a plain function over the same parts.",
    },
    "workflow-guide: get_workflow_summary()": {
        "summary.fields": "get_workflow_summary() names model, strategy, scores, features and what was switched on.",
    },
    "pipeline-orchestrator: Checklist": {
        "python.train": "train_model() on the orchestrator trains, tracks and stores a model from a table.",
        "python.predict": "predict() answers for a registered or stored model.",
        "python.evaluate": "evaluate() scores a model on new data.",
        "python.save": "save_model() writes a model to a file without pickle.",
        "python.load": "load_model() reads it back and predicts identically; a changed file is refused.",
        "python.errors": "Every error is of one family, has a stable code, and says what to do next.",
        "python.context": "A run keeps its state, progress, log and metrics, and nothing leaks into the next one.",
        "python.example": "An example of training and prediction runs as it is printed.",
    },
    "build-ml-pipeline: Phase 1": {
        "build.requirements": "Requirements, metrics and plan are written down before data are touched, and checked.",
        "build.problem": "The kind of problem, the metric and the types of columns are inferred and stated.",
    },
    "build-ml-pipeline: Phase 2": {
        "data.sources": "CSV, TSV, JSON lines, Parquet, Feather, Excel, SQL databases and inline records are read.",
        "data.messy": "Encodings, delimiters, decimal commas, dates and doubled headers are read or refused by name.",
        "data.validation": "Data that cannot be trained on are refused before any work, naming the column and the fix.",
        "data.versioned": "A table that was read is frozen under its digest, so that a run can be repeated.",
        "data.profile": "Types, missing values, cardinality, identifiers, constants and class balance are reported.",
        "data.leakage": "A column that gives the target away is named.",
        "data.incremental": "New rows are added without reading the old ones again.",
        "data.schedule": "Loading and checking run on a schedule, with retries.",
        "data.engineering": "Missing values, scaling, categories, text and dates are handled inside the pipeline.",
        "data.selection": "Features are selected by what they contribute.",
        "data.drift": "Drift against the training data is detected column by column, at a stated rate of false alarms.",
        "data.quality_alerts": "Data that fail their checks raise an alert.",
        "data.backfill": "A data pipeline is run again for a span of the past.",
    },
    "build-ml-pipeline: Phase 3": {
        "training.baseline": "A simple baseline is trained and reported beside the model.",
        "training.families": "Several families of models, a linear one among them, compete on the same folds.",
        "training.ensemble": "Models are combined where that helps.",
        "training.importance": "Importance of the features is measured and plotted.",
        "training.card": "A model card is written from what was measured.",
        "training.tables": "A table of text, numbers, dates and gaps becomes a registered model in three calls.",
        "training.known": "On known tables the figures are those of a script written by hand.",
        "training.noise": "A target of pure noise is reported as no better than the baseline and is not promoted.",
        "training.explain": "SHAP values and local explanations are given.",
        "training.fairness": "Scores are compared over groups of people.",
    },
    "build-ml-pipeline: Phase 4": {
        "deploy.registry": "Versions move from challenger to champion to production, with metadata and lineage.",
        "deploy.serving": "A prediction server validates its input and answers health checks.",
        "deploy.batch": "Whole tables are predicted as a batch.",
        "deploy.container": "A model is exported with container and cluster files that run it.",
        "deploy.approval": "Production needs a person's approval.",
        "deploy.regression": "A model that scores worse than the one in production is refused.",
        "deploy.shadow": "A new version is tried on real requests without answering them.",
        "deploy.split": "Traffic is split between two versions, and the difference is tested.",
    },
    "build-ml-pipeline: Phase 5": {
        "monitor.predictions": "Predictions are logged with features, output, latency and confidence.",
        "monitor.anomalies": "Unusual predictions raise an alert.",
        "monitor.performance": "Online figures are compared with those of the evaluation.",
        "monitor.drift": "A change of inputs, or of what they mean, is detected while serving.",
        "monitor.dashboards": "Dashboards and alert rules come ready to load.",
        "monitor.reports": "A report of the week and the state of the objectives can be asked for.",
    },
    "build-ml-pipeline: Phase 6": {
        "retrain.schedule": "A model is trained again on a schedule.",
        "retrain.performance": "A drop of more than 5 % in accuracy triggers training.",
        "retrain.drift": "Drift of the data triggers training.",
        "retrain.volume": "Enough new rows trigger training.",
        "retrain.manual": "Training again is triggered by hand.",
        "retrain.compare": "The new version is compared with the one in production before it takes over.",
        "retrain.rollout": "The new version takes 5, 25, 50 and 100 % of the traffic, and stops when it does worse.",
        "retrain.audit": "Every change of a model leaves a record that cannot be altered unseen.",
    },
    "build-ml-pipeline: Quality Gates Summary": {
        "gates.baseline": "Training passes only when it beats the baseline by 10 %.",
        "gates.folds": "Training passes only when the folds' scores have a standard deviation below 0.05.",
        "gates.explained": "Training passes only when an explanation was made.",
        "gates.tracked": "Training passes only when all experiments were tracked.",
        "gates.set": "Each gate's limit can be set, and a gate that fails stops the promotion.",
        "gates.data": "The data gate wants every row to fit the schema and 95 % of the values to be present.",
        "gates.latency": "Deployment wants 95 % of answers within 100 ms.",
        "gates.load": "Deployment wants 1,000 requests a second.",
        "gates.monitoring": "Monitoring passes when metrics, dashboards and alerts were seen to work.",
    },
    "build-ml-pipeline: Workflow": {
        "build.phases": "The build runs through six phases, and each gate is passed by a measured fact.",
        "build.progress": "Progress is reported from 0 to 100 % over the phases.",
        "build.runbook": "A runbook says what to do when an alert fires.",
        "build.skill": "The six phases come as a skill that uses the server's tools.",
    },
    "build-ml-pipeline: Rollback Plan": {
        "rollback.version": "One call puts the previous version back, and it predicts as before.",
        "rollback.automatic": "Degradation in production rolls back by itself.",
    },
    "orchestrator-plan: Key Architectural Principles": {
        "components.foreign": "Code that exists becomes a component by registration alone, without a change to it.",
        "components.specialised": "Specialised orchestrators are components, and keep their own interface.",
        "components.independent": "No component imports another.",
    },
    "orchestrator-plan: 3.1 Component Registry": {
        "registry.discovery": "Components are found and described without loading their libraries.",
        "registry.health": "The health of a component is its known answer, run.",
        "registry.versions": "A component states its version.",
        "registry.search": "Components are searched by words, tier and family.",
        "registry.tiers": "Fifty components stand in six tiers, as the plan lists them.",
    },
    "orchestrator-plan: 6.2 Integration Implementation": {
        "invoke.method": "A capability of a component is invoked with parameters that are checked first.",
        "invoke.registered_only": "Nothing that is not registered can be invoked.",
        "invoke.timed": "An invocation reports how long it took.",
        "invoke.history": "The history of invocations can be read.",
        "invoke.real": "Another question gets another answer: no component returns a constant.",
    },
    "orchestrator-plan: 2.1 MLPipelineOrchestrator": {
        "engine.states": "A run is in one of the named states, and every end is recorded.",
        "engine.steps": "Each step reports done, skipped or failed, with the reason and its seconds.",
        "engine.durable": "Finished steps answer from the journal after a crash; cut ones run again.",
        "engine.retry": "A failed step is tried again as its policy says.",
        "engine.timeout": "A step that takes too long is stopped and reported.",
        "engine.cancel": "A cancelled run stops its worker, and the processor is free.",
        "engine.pause": "A run is paused and goes on later.",
        "engine.optional": "An optional step that fails leaves the rest standing and marks the run degraded.",
        "engine.required": "A required step that fails ends the run as failed, with the cause.",
        "engine.concurrent": "No more runs work at once than the settings allow; the others wait in order.",
        "engine.worker_lost": "A run whose worker is killed is retried or failed, and never hangs.",
        "engine.parallel": "Independent steps run side by side.",
        "engine.progress": "A run reports its progress while it works.",
        "engine.elsewhere": "The same runs go to a distributed engine by one setting.",
    },
    "orchestrator-plan: 2.2 Workflow Coordinators": {
        "workflow.train": "The training workflow runs from loading to registration.",
        "workflow.evaluate": "The evaluation workflow scores a registered model on new data and gives a verdict.",
        "workflow.compare": "Two models are compared by a test that holds its rate of error.",
        "workflow.prepare": "The data workflow checks, cleans and splits a table as a run of its own.",
        "workflow.optimize": "The optimization workflow tunes several aims at once.",
        "workflow.deploy": "The deployment workflow promotes, checks health in rounds, and keeps a way back.",
        "workflow.experiment": "An A/B experiment is created, fed, checked and decided through one component.",
        "deploy.strategies": "Immediate, rolling, blue-green and canary deployment are offered.",
    },
    "orchestrator-plan: 2.3 Resource Manager": {
        "resources.leases": "Processors and memory are leased, and given back on every path.",
        "resources.real": "What is free is measured on the machine.",
        "resources.fair": "Who waits longest is served first.",
        "resources.gpu": "Graphics processors are found and leased.",
        "resources.pool": "Database connections are shared and limited.",
        "resources.expired": "Leases whose holder is gone are taken back.",
        "resources.thresholds": "Use beyond a threshold is reported.",
        "resources.cache": "Loaded models are kept within a budget of memory.",
    },
    "orchestrator-plan: 1.3 Create Event System": {
        "events.subscribe": "Handlers subscribe by type and receive what happens.",
        "events.lifecycle": "Runs and steps announce their start, progress and end.",
        "events.slow_handler": "A slow or failing handler holds up nobody else.",
        "events.durable": "Events of a run can be read after a restart.",
        "events.monitoring": "Health, metrics and alerts announce their changes.",
        "events.statistics": "The bus counts what it carried and what it dropped.",
    },
    "orchestrator-plan: 4.1 Pipeline Health Monitor": {
        "health.status": "The whole is healthy, degraded, critical or unknown, from the health of its parts.",
        "health.trend": "Health over time is told to improve, hold or degrade.",
        "health.cascade": "Failures that follow from one another are told apart from their cause.",
        "health.kept": "Snapshots are kept for 24 hours.",
        "health.parts": "Orchestrator, registry, resources, engine and events are checked one by one.",
    },
    "orchestrator-plan: 4.2 Metrics Collection": {
        "metrics.kinds": "Duration, throughput, errors, latency and use of resources are measured.",
        "metrics.windows": "Metrics are summed over five minutes, with the 95th and 99th percentile.",
        "metrics.export": "Metrics are exported to Prometheus, and Grafana can show them.",
        "metrics.kept": "Metrics are kept for 48 hours.",
    },
    "orchestrator-plan: 4.3 Alerting System": {
        "alerts.rules": "Five rules hold from the start: health, errors, slow answers, exhaustion, failed runs.",
        "alerts.severity": "An alert is info, warning, critical or emergency.",
        "alerts.lifecycle": "An alert is raised, acknowledged and resolved, and its history is kept.",
        "alerts.escalation": "An alert that nobody acknowledges for 30 minutes becomes more severe.",
        "alerts.duplicates": "The same alert is not sent twice within 60 minutes.",
        "alerts.storm": "More than 50 alerts an hour are a storm, and are held back.",
        "alerts.delivery": "Alerts go out by mail, Slack and PagerDuty.",
        "alerts.statistics": "Time to resolution and the most frequent alerts are reported.",
    },
    "orchestrator-plan: 3.3 API Gateway": {
        "rest.workflows": "Runs are started, listed, read and cancelled over REST.",
        "rest.status": "The status of the orchestrator is read over REST.",
        "rest.metrics": "Metrics are read over REST.",
        "rest.health": "Health checks answer over REST.",
        "rest.components": "Components are listed and invoked over REST, and their history is read.",
    },
    "orchestrator-plan: CLI Integration": {
        "cli.status": "The status command tells the state of the orchestrator and its components.",
        "cli.start": "The start command initializes the orchestrator.",
        "cli.components": "The components command lists components and capabilities, and runs their health checks.",
        "cli.workflows": "Training and evaluation workflows are run from the terminal.",
        "cli.json": "Every command that prints does so as JSON when asked.",
        "cli.errors": "A command that fails says why, and its exit code tells the kind of error.",
    },
    "orchestrator-plan: MCP Integration": {
        "mcp.status": "get_orchestrator_status tells state, components, runs and resources.",
        "mcp.initialize": "initialize_orchestrator may be called again, and its effect outlives the server.",
        "mcp.train": "run_ml_training_workflow trains, and answers with the run when it takes long.",
        "mcp.evaluate": "run_ml_evaluation_workflow evaluates a registered model.",
        "mcp.invoke": "invoke_ml_component calls a capability of a component.",
        "mcp.unknown": "An argument that a tool does not know is refused with a suggestion.",
        "mcp.errors": "An error reaches the agent with its cause and the next call.",
        "mcp.restart": "After a restart of the server a model predicts identically.",
        "mcp.long": "The server answers while it trains, and a long call reports progress.",
        "mcp.tasks": "Clients that know tasks receive long work as a task.",
        "mcp.http": "The server speaks HTTP on this machine when asked, and refuses foreign hosts and origins.",
    },
    "orchestrator-plan: Configuration Management": {
        "settings.workflows": "10 workflows run at once unless set otherwise.",
        "settings.timeouts": "Training may take 3600 s and evaluation 1800 s unless set otherwise.",
        "settings.deployment": "Deployment may take 600 s and the allocation of a GPU 300 s unless set otherwise.",
        "settings.health": "Health is checked every 30 s and status renewed every 10 s unless set otherwise.",
        "settings.events": "1000 events are kept in the buffer, and a handler may take 30 s, unless set otherwise.",
        "settings.sources": "A setting comes from file or environment, and an unknown or unfit one is refused by name.",
    },
    "orchestrator-plan: 5.3 Performance Tests": {
        "speed.server": "The server's first answer costs little more than that of an empty server.",
        "speed.status": "A question about the status costs little more than an empty call.",
        "speed.overhead": "The orchestration adds little to the training itself.",
        "speed.many": "A hundred runs do not lose or mix up a result.",
    },
    "orchestrator-plan: Risk Mitigation": {
        "safety.roots": "Files outside the allowed folders cannot be read.",
        "safety.models": "A model is loaded only when its digest is the recorded one and its types are on our list.",
        "safety.whole": "Bad input leaves nothing half-written.",
        "safety.access": "Callers have scopes, and a read-only persona changes nothing.",
        "safety.tracing": "Work is traced by OpenTelemetry.",
    },
    "ml-orchestrator-agent: Production Model Registry": {
        "versions.aliases": "@champion, @production and @challenger name versions of a model.",
        "versions.integrity": "A changed byte in a stored model is detected.",
        "versions.rollback": "A rollback returns to the version before, and both stay in the history.",
        "versions.race": "Two promotions at once end with one whole state.",
    },
    "ml-orchestrator-agent: Memory System Integration": {
        "memory.load": "load_my_memory gives an agent its tasks, insights and collaborators, newest first.",
        "memory.save": "save_my_memory writes it whole or not at all.",
        "memory.shared": "load_shared_context gives all agents the same context.",
        "memory.tasks": "add_task_to_history records a task with outcome, insights and delegations.",
        "memory.insights": "add_optimization_insight records area, insight, impact and confidence.",
        "memory.patterns": "update_collaboration_pattern counts successes and failures with another agent.",
        "memory.send": "send_message_to_agents reaches the named agents, or all.",
        "memory.unread": "get_unread_messages gives each message to each recipient once it is theirs.",
        "memory.together": "Agents that write at the same time lose nothing.",
        "memory.recall": "What was learned on similar data is found again and used.",
    },
    "ml-orchestrator-agent: Role": {
        "agent.delegates": "The agent keeps to machine learning and hands infrastructure to others.",
    },
}
# fmt: on

REQUIREMENTS = [
    *(Requirement(name, source, sentence) for source, rows in _ROWS.items() for name, sentence in rows.items()),
    *(
        Requirement(f"component.{name}", f"orchestrator-plan: Tier {tier}", sentence)
        for tier, rows in FIFTY.items()
        for name, sentence in rows.items()
    ),
]
