"""The declaration of team grid's domain. It has pictures, so no climb from the testbed's base."""

from tasks.contracts.handover import DomainSettings

DOMAIN = DomainSettings(
    name="grid",
    owner="team-grid",
    version="1.0.0",
    num_train=1000,
    num_validation=100,
    num_evaluation=200,
    num_demonstrations=4000,
)
