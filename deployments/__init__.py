"""What runs the factory as a fleet: deployments, pools, workers, containers, and the plans."""
