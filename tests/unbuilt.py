"""Behaviours of the mission that are not built yet, by what brings them. This list may only shrink."""

from __future__ import annotations

__all__ = ["NOT_BUILT"]

_BROUGHT_BY: dict[str, str] = {
    "the deployment workflow and the prediction server": """
        workflow.deploy deploy.serving deploy.batch deploy.approval deploy.regression deploy.shadow deploy.split
        deploy.strategies gates.latency gates.load rollback.automatic monitor.predictions monitor.performance
        monitor.drift""",
    "the export of containers": "deploy.container",
    "monitoring: health, metrics and alerts": """
        health.status health.trend health.cascade health.kept health.parts metrics.kinds metrics.windows metrics.export
        metrics.kept alerts.rules alerts.severity alerts.lifecycle alerts.escalation alerts.duplicates alerts.storm
        alerts.delivery alerts.statistics monitor.anomalies monitor.dashboards monitor.reports gates.monitoring
        build.runbook events.monitoring data.quality_alerts safety.tracing settings.health""",
    "schedules and the retraining workflow": """
        retrain.performance retrain.drift retrain.volume retrain.compare
        retrain.rollout data.schedule data.backfill data.incremental""",
    "the audit log": "retrain.audit",
    "the event bus": "events.subscribe events.slow_handler events.statistics settings.events",
    "the REST interface": "rest.workflows rest.status rest.metrics rest.health rest.components",
    "the feature store": "features.store features.same_path",
    "the workflows for data, optimization and experiments": """
        workflow.prepare workflow.optimize workflow.experiment gates.data data.selection""",
    "the workflow that builds in six phases": "build.requirements build.phases build.progress",
    "the deployment of models": "settings.deployment",
    "a comparison of runs on the surfaces": "tracking.compare",
    "the history of invocations": "invoke.history",
    "the explain and fairness extras": "training.explain training.fairness",
    "benchmarks in the suite; those of start and overhead are run by hand": """
        speed.server speed.overhead speed.status""",
    "the agent's evaluation with a real client": "agent.delegates",
    "the remaining forty-one components": """
        registry.tiers components.specialised
        component.rule_optimizer component.multi_armed_bandit component.apriori_analyzer component.batch_processor
        component.context_learner component.clustering_optimizer component.failure_analyzer
        component.dimensionality_reducer component.insight_engine component.rule_analyzer
        component.context_aware_weighter component.optimization_validator component.advanced_pattern_discovery
        component.llm_transformer component.experiment_orchestrator component.causal_inference_analyzer
        component.pattern_significance_analyzer component.statistical_analyzer component.structural_analyzer
        component.domain_feature_extractor component.linguistic_analyzer component.dependency_parser
        component.domain_detector component.ner_extractor component.advanced_ab_testing component.canary_testing
        component.real_time_analytics component.analytics component.monitoring component.async_optimizer
        component.background_manager component.model_manager component.prompt_enhancement component.redis_cache
        component.performance_optimizer component.adversarial_defense component.differential_privacy
        component.federated_learning component.performance_benchmark component.response_optimizer
        component.automl_status""",
}

NOT_BUILT = {name: f"comes with {part}" for part, names in _BROUGHT_BY.items() for name in names.split()}
