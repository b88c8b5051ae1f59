"""BlazePose: body, hands, face and outline of people, through LiteRT."""
