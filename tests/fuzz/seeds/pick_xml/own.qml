<?xml version="1.0" encoding="UTF-8"?>
<q:quakeml xmlns:q="http://quakeml.org/xmlns/quakeml/1.2" xmlns="http://quakeml.org/xmlns/bed/1.2">
  <eventParameters publicID="smi:local/scperformer/catalog/20200913.122640.123456-P-XX.ABC..HHZ/4">
    <event publicID="smi:local/scperformer/picks/20200913.122640.123456-P-XX.ABC..HHZ/4">
      <description>
        <text>Unassociated automatic picks; not an earthquake</text>
      </description>
      <creationInfo>
        <author>scperformer</author>
        <creationTime>2020-09-13T12:26:40.000000Z</creationTime>
      </creationInfo>
      <pick publicID="smi:local/scperformer/pick/20200913.122640.123456-P-XX.ABC..HHZ">
        <time>
          <value>2020-09-13T12:26:40.123456Z</value>
          <uncertainty>0.1</uncertainty>
        </time>
        <waveformID networkCode="XX" stationCode="ABC" locationCode="" channelCode="HHZ"/>
        <filterID>smi:local/scperformer/filter/BW_HP(4,2)</filterID>
        <methodID>smi:local/scperformer/picker</methodID>
        <onset>impulsive</onset>
        <phaseHint>P</phaseHint>
        <evaluationMode>automatic</evaluationMode>
        <creationInfo>
          <author>scperformer</author>
          <creationTime>2020-09-13T12:26:40.000000Z</creationTime>
        </creationInfo>
        <comment id="smi:local/scperformer/comment/20200913.122640.123456-P-XX.ABC..HHZ/probability">
          <text>probability: 0.5000</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122640.123456-P-XX.ABC..HHZ/model">
          <text>model: rise 000000000000</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122640.123456-P-XX.ABC..HHZ/decision_delay">
          <text>decision_delay: 2.08 s</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122640.123456-P-XX.ABC..HHZ/snr">
          <text>snr: 3.25</text>
        </comment>
      </pick>
      <pick publicID="smi:local/scperformer/pick/20200913.122647.123456-S-XX.ABC.00.HHZ">
        <time>
          <value>2020-09-13T12:26:47.123456Z</value>
          <uncertainty>0.1</uncertainty>
        </time>
        <waveformID networkCode="XX" stationCode="ABC" locationCode="00" channelCode="HHZ"/>
        <filterID>smi:local/scperformer/filter/BW_HP(4,2)</filterID>
        <methodID>smi:local/scperformer/picker</methodID>
        <onset>emergent</onset>
        <phaseHint>S</phaseHint>
        <polarity>positive</polarity>
        <evaluationMode>automatic</evaluationMode>
        <creationInfo>
          <author>scperformer</author>
          <creationTime>2020-09-13T12:26:40.000000Z</creationTime>
        </creationInfo>
        <comment id="smi:local/scperformer/comment/20200913.122647.123456-S-XX.ABC.00.HHZ/probability">
          <text>probability: 0.5500</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122647.123456-S-XX.ABC.00.HHZ/model">
          <text>model: rise 000000000000</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122647.123456-S-XX.ABC.00.HHZ/decision_delay">
          <text>decision_delay: 2.08 s</text>
        </comment>
      </pick>
      <pick publicID="smi:local/scperformer/pick/20200913.122654.123456-P-XX.ABC..HHZ">
        <time>
          <value>2020-09-13T12:26:54.123456Z</value>
          <uncertainty>0.1</uncertainty>
        </time>
        <waveformID networkCode="XX" stationCode="ABC" locationCode="" channelCode="HHZ"/>
        <filterID>smi:local/scperformer/filter/BW_HP(4,2)</filterID>
        <methodID>smi:local/scperformer/picker</methodID>
        <onset>questionable</onset>
        <phaseHint>P</phaseHint>
        <polarity>negative</polarity>
        <evaluationMode>automatic</evaluationMode>
        <creationInfo>
          <author>scperformer</author>
          <creationTime>2020-09-13T12:26:40.000000Z</creationTime>
        </creationInfo>
        <comment id="smi:local/scperformer/comment/20200913.122654.123456-P-XX.ABC..HHZ/probability">
          <text>probability: 0.6000</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122654.123456-P-XX.ABC..HHZ/model">
          <text>model: rise 000000000000</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122654.123456-P-XX.ABC..HHZ/decision_delay">
          <text>decision_delay: 2.08 s</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122654.123456-P-XX.ABC..HHZ/snr">
          <text>snr: 3.25</text>
        </comment>
      </pick>
      <pick publicID="smi:local/scperformer/pick/20200913.122701.123456-S-XX.ABC.00.HHZ">
        <time>
          <value>2020-09-13T12:27:01.123456Z</value>
          <uncertainty>0.1</uncertainty>
        </time>
        <waveformID networkCode="XX" stationCode="ABC" locationCode="00" channelCode="HHZ"/>
        <filterID>smi:local/scperformer/filter/BW_HP(4,2)</filterID>
        <methodID>smi:local/scperformer/picker</methodID>
        <onset>impulsive</onset>
        <phaseHint>S</phaseHint>
        <polarity>undecidable</polarity>
        <evaluationMode>automatic</evaluationMode>
        <creationInfo>
          <author>scperformer</author>
          <creationTime>2020-09-13T12:26:40.000000Z</creationTime>
        </creationInfo>
        <comment id="smi:local/scperformer/comment/20200913.122701.123456-S-XX.ABC.00.HHZ/probability">
          <text>probability: 0.6500</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122701.123456-S-XX.ABC.00.HHZ/model">
          <text>model: rise 000000000000</text>
        </comment>
        <comment id="smi:local/scperformer/comment/20200913.122701.123456-S-XX.ABC.00.HHZ/decision_delay">
          <text>decision_delay: 2.08 s</text>
        </comment>
      </pick>
    </event>
  </eventParameters>
</q:quakeml>
