"""What training methods share; `sae.core` is what an SAE needs once it is trained."""
