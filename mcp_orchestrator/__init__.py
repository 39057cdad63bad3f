"""An embedded orchestrator of machine learning, and the MCP server that publishes it."""
