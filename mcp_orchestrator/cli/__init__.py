"""The command ``mcp-orchestrator``."""
