"""eBPF on hosts: sense (what a compute node knows), stamp (into its packets), the agent that runs both."""
