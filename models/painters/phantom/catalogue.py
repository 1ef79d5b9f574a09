"""Which entity texts have a drawing, and which one."""

from collections.abc import Callable
from typing import NamedTuple

from models.painters.phantom import (
    airspace,
    bones,
    devices,
    focal,
    interstitial,
    pleura,
    shape,
)
from models.painters.phantom.anatomy import Scene
from models.painters.phantom.body import Body
from models.painters.phantom.canvas import Mask
from models.painters.phantom.placement import Placed


class Drawing(NamedTuple):
    """How one finding is drawn.

    Attributes:
        draw: Adds the finding to a scene and returns the pixels it takes.
        shape: Changes the body before anything is drawn; None for findings that do not.
        both: True when both sides are affected unless one is named.
    """

    draw: Callable[[Scene, Placed], Mask]
    shape: Callable[[Body, Placed], Body] | None = None
    both: bool = False


_NODULE = Drawing(focal.nodule)
_OPACITY = Drawing(airspace.opacity)
_PNEUMONIA = Drawing(airspace.pneumonia)
_CONSOLIDATION = Drawing(airspace.consolidation)
_ATELECTASIS = Drawing(airspace.atelectasis, airspace.atelectasis_shape)
_EFFUSION = Drawing(pleura.pleural_effusion)
_EMPHYSEMA = Drawing(shape.lung_mask, shape.emphysema_shape, both=True)
_HYPERINFLATION = Drawing(shape.lung_mask, shape.hyperinflation_shape, both=True)
_INTERSTITIAL = Drawing(interstitial.interstitial_markings, both=True)
_CONGESTION = Drawing(shape.lung_mask, shape.congestion_shape, both=True)
_HILUM = Drawing(shape.hilum_mask, shape.hilar_shape)
_RAISED = Drawing(shape.lost_mask, shape.raised_shape)
_AORTA = Drawing(shape.aorta_mask, shape.tortuous_shape)
_HEART = Drawing(shape.heart_mask, shape.cardiomegaly_shape, both=True)
_EDEMA = Drawing(airspace.edema, airspace.edema_shape, both=True)
_CAVITY = Drawing(focal.cavity)
_CALCIFIED = Drawing(focal.granuloma)

DRAWINGS: dict[str, Drawing] = {
    "acute respiratory distress syndrome": _EDEMA,
    "airspace disease": _PNEUMONIA,
    "aortic aneurysm": _AORTA,
    "aspiration": _PNEUMONIA,
    "atelectasis": _ATELECTASIS,
    "blunted costophrenic angle": Drawing(pleura.blunted_angle),
    "bronchiectasis": Drawing(interstitial.bronchiectasis),
    "calcified granuloma": _CALCIFIED,
    "cardiomegaly": _HEART,
    "central venous catheter": Drawing(devices.central_line),
    "chest tube": Drawing(devices.chest_tube),
    "chronic obstructive pulmonary disease": _EMPHYSEMA,
    "consolidation": _CONSOLIDATION,
    "diaphragmatic eventration": _RAISED,
    "elevated hemidiaphragm": _RAISED,
    "emphysema": _EMPHYSEMA,
    "empyema": _EFFUSION,
    "endotracheal tube": Drawing(devices.endotracheal_tube),
    "enlarged aorta": _AORTA,
    "enlarged pulmonary arteries": Drawing(shape.hilum_mask, shape.hilar_shape, both=True),
    "enteric tube": Drawing(devices.enteric_tube),
    "flattened diaphragm": _HYPERINFLATION,
    "granuloma": _CALCIFIED,
    "hemothorax": _EFFUSION,
    "hiatal hernia": Drawing(focal.hiatal_hernia),
    "hilar enlargement": _HILUM,
    "hilar mass": _HILUM,
    "hyperinflation": _HYPERINFLATION,
    "interstitial lung disease": _INTERSTITIAL,
    "interstitial markings": _INTERSTITIAL,
    "left ventricular enlargement": _HEART,
    "low lung volumes": Drawing(shape.lost_mask, shape.low_volume_shape, both=True),
    "lung abscess": _CAVITY,
    "lung calcification": _CALCIFIED,
    "lung cancer": Drawing(focal.mass),
    "lung cavity": _CAVITY,
    "lung contusion": _OPACITY,
    "lung infiltrate": Drawing(airspace.infiltrate),
    "lung mass": Drawing(focal.mass),
    "lung nodule": _NODULE,
    "lung opacity": _OPACITY,
    "monitoring leads": Drawing(devices.monitoring_leads, both=True),
    "pacemaker": Drawing(devices.pacemaker),
    "pericardial effusion": _HEART,
    "pleural effusion": _EFFUSION,
    "pleural thickening": Drawing(pleura.pleural_thickening),
    "pneumonia": _PNEUMONIA,
    "pneumothorax": Drawing(pleura.pneumothorax),
    "pulmonary edema": _EDEMA,
    "pulmonary fibrosis": Drawing(interstitial.fibrosis, shape.fibrosis_shape, both=True),
    "pulmonary hemorrhage": _OPACITY,
    "pulmonary vascular congestion": _CONGESTION,
    "rib fracture": Drawing(bones.rib_fracture),
    "scoliosis": Drawing(shape.spine_mask, shape.scoliosis_shape),
    "sternotomy wires": Drawing(devices.sternal_wires),
    "surgical clips": Drawing(devices.surgical_clips),
    "tortuous aorta": _AORTA,
}
