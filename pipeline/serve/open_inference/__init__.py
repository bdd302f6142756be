"""The Open Inference Protocol (V2), so that its public clients work unchanged."""
