"""``python -m mcp_orchestrator`` is the command."""

from mcp_orchestrator.cli.main import main

if __name__ == "__main__":
    main(prog_name="mcp-orchestrator")
