"""Huang's functional of mesh adaptation, its derivatives by the computational coordinates, on arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshing.cell_maps import determinants_and_adjugates


@dataclass(frozen=True)
class HuangFunctional:
    r"""Huang's functional: alignment of the cells with a metric tensor and equidistribution of its density.

    .. math:: I = \frac{1}{(1 - \theta) d^{dp/2} |\Omega|} \sum_K |K|\,\rho_K \Big[\theta\,\|J'\|^{dp}
              + (1 - 2\theta)\,d^{dp/2} (\det J')^p\Big],\qquad
              J' = J M^{-1/2},\ J = \frac{\partial \xi}{\partial x},\ \rho = \sqrt{\det M}

    It is 1 if every cell is the image of its computational cell under a map of which M^{-1/2} is the polar factor,
    which is ideal, and more otherwise, if M is scaled as ``scaled`` does. It grows beyond bounds as a cell
    degenerates. For a scalar monitor function m, M = m^{2/d} I, so that the density is rho = m.

    Attributes
    ----------
    theta
        Weight of alignment, more than 0, at most 1/2. Towards 0 cells may be as slender as equidistribution wants.
    power
        p, more than 1.

    Raises
    ------
    ValueError
        For weights out of their bounds.

    Notes
    -----
    Huang (2001), J. Comput. Phys. 174, 903, eq. (42); Huang and Russell (2011), Adaptive Moving Mesh Methods, section
    6.4; Huang and Kamenski (2015), J. Comput. Phys. 301, 322 (in physical coordinates; theta = 1/3, p = 3/2 there).
    """

    theta: float = 0.1
    power: float = 1.5

    def __post_init__(self) -> None:
        if not 0.0 < self.theta <= 0.5:
            raise ValueError(f"theta: got {self.theta}, expected more than 0 and at most 0.5, such as 0.1")
        if not self.power > 1.0:
            raise ValueError(f"power: got {self.power}, expected more than 1, such as 1.5")

    def energies(self, jacobians: np.ndarray, density: np.ndarray, volumes: np.ndarray) -> np.ndarray:
        """Return what each cell contributes to the sum, in units of the factor before it; inf if it is inverted.

        Parameters
        ----------
        jacobians
            J', shape (K, d, d), dimensionless.
        density
            rho, shape (K,), dimensionless.
        volumes
            Volumes of the physical cells, shape (K,) [m^d].
        """
        exponent, isotropic, determinant_weight = self._constants(jacobians.shape[1])
        determinants, _ = determinants_and_adjugates(jacobians)
        squares = (jacobians**2).sum(axis=(1, 2))
        terms = self.theta * squares ** (0.5 * exponent)
        terms += determinant_weight * np.maximum(determinants, 0.0) ** self.power
        energies = volumes * density * terms / ((1.0 - self.theta) * isotropic)
        return np.where(determinants > 0.0, energies, np.inf)

    def derivatives(
        self, jacobians: np.ndarray, gradients: np.ndarray, density: np.ndarray, volumes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Return first and second derivatives of the energies by the computational coordinates of the corners.

        With M and the physical mesh held fixed. Of the second derivatives the positive semidefinite part,

        .. math:: \theta dp\,\|J'\|^{dp-2} \Big(I \otimes I + (dp - 2)\frac{J' \otimes J'}{\|J'\|^2}\Big)
                  + (1 - 2\theta) d^{dp/2} p (p - 1) (\det J')^p\, J'^{-T} \otimes J'^{-T}

        The part left out, p (det J')^{p-1} times the second derivative of the determinant, sums to nothing when the
        density is equidistributed, as the determinant is a null Lagrangian.

        Parameters
        ----------
        jacobians
            J' as above.
        gradients
            M^{-1/2} times the gradients of the barycentric coordinates by x, shape (K, d + 1, d) [1/m].
        density, volumes
            As in ``energies``.

        Returns
        -------
        tuple
            Shapes (K, d + 1, d) and (K, (d + 1) d, (d + 1) d).
        """
        dimension = jacobians.shape[1]
        exponent, isotropic, determinant_weight = self._constants(dimension)
        determinants, adjugates = determinants_and_adjugates(jacobians)
        squares = (jacobians**2).sum(axis=(1, 2))
        scale = volumes * density / ((1.0 - self.theta) * isotropic)
        norm_weight = scale * self.theta * exponent * squares ** (0.5 * exponent - 1.0)
        volume_weight = scale * determinant_weight * self.power * determinants**self.power
        # J' and J'^{-T} applied to the gradients: (K, d + 1, d), numbered by corner and component of xi.
        stretched = gradients @ np.swapaxes(jacobians, 1, 2)
        turned = gradients @ adjugates / determinants[:, None, None]
        first = norm_weight[:, None, None] * stretched + volume_weight[:, None, None] * turned
        products = (gradients * norm_weight[:, None, None]) @ np.swapaxes(gradients, 1, 2)
        corners = dimension + 1
        second = np.zeros((len(jacobians), corners, dimension, corners, dimension))
        for component in range(dimension):
            second[:, :, component, :, component] = products
        second = second.reshape(len(jacobians), corners * dimension, corners * dimension)
        flat = stretched.reshape(len(jacobians), -1)
        second += (norm_weight * (exponent - 2.0) / squares)[:, None, None] * flat[:, :, None] * flat[:, None, :]
        flat = turned.reshape(len(jacobians), -1)
        second += (volume_weight * (self.power - 1.0))[:, None, None] * flat[:, :, None] * flat[:, None, :]
        return first, second

    def _constants(self, dimension: int) -> tuple[float, float, float]:
        """Return d p, d^(d p / 2) and the weight of the determinant's power."""
        exponent = dimension * self.power
        isotropic = dimension ** (0.5 * exponent)
        return exponent, isotropic, (1.0 - 2.0 * self.theta) * isotropic
