"""Images from noise: a class-conditional diffusion model, and the judge that looks at what it makes."""
