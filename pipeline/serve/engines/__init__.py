"""What runs the application: granian on one machine, Ray Serve on the machines of a cluster."""
